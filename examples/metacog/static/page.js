const form = document.querySelector("form");
const answer = document.querySelector("output");
const list = document.querySelector("ol");

async function show() {
  const { thoughts } = await (await fetch("/v1/thoughts?limit=20")).json();
  list.replaceChildren(...thoughts.reverse().map((thought) => {
    const item = document.createElement("li");
    item.value = thought.id;
    item.textContent = `${thought.text} (${thought.stance})`;
    return item;
  }));
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const response = await fetch("/v1/reflect", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ text: form.elements.text.value }),
  });
  const reply = await response.json();
  answer.value = reply.question ?? reply.detail;
  if (response.ok) {
    form.reset();
    await show();
  }
});

await show();
