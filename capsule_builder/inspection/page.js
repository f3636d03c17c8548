"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const [PATH, SIZE, PACKED, GROUP, LAYER, KIND, MARK] = [0, 1, 2, 3, 4, 5, 6];
  const CATEGORIES = ["Python", "native code", "bytecode", "data and others", "metadata and texts", "several of these"];
  const byId = (id) => document.getElementById(id);
  const element = (name, text = "", className = "") => {
    const made = document.createElement(name);
    made.textContent = text;
    if (className) made.className = className;
    return made;
  };
  const count = (number, noun = "file") => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
  const bytes = (size) => {
    if (size < 1e3) return `${size} B`;
    return size < 1e6 ? `${(size / 1e3).toFixed(1)} kB` : `${(size / 1e6).toFixed(2)} MB`;
  };
  const growth = (size) => (size === null ? "" : `${size < 0 ? "−" : "+"}${bytes(Math.abs(size))}`);

  // The tree: layers, packages, directories, files. A node has the sums of what is below it.

  const category = (path) => {
    if (/\.dist-info\/|\.(md|rst|txt|html)$|(^|\/)(LICEN[CS]E|COPYING|NOTICE)[^/]*$/i.test(path)) return 4;
    if (/\.so(\.[0-9.]+)?$|\.(a|o|dll|dylib)$/.test(path)) return 1;
    if (/\.pyc$/.test(path)) return 2;
    return /\.pyi?$/.test(path) ? 0 : 3;
  };
  const node = (name, parent) => ({ name, parent, sums: [0, 0, 0], files: 0, marked: 0, mark: 0, below: new Map(), entry: null, weights: [0, 0, 0, 0, 0] });
  const down = (parent, name) => {
    if (!parent.below.has(name)) parent.below.set(name, node(name, parent));
    return parent.below.get(name);
  };
  const root = node(`${data.about.name} ${data.about.version}`, null);
  const groupsOf = data.layers.map(() => new Set());
  data.entries.forEach((entry) => groupsOf[entry[LAYER]].add(entry[GROUP]));
  for (const entry of data.entries) {
    let place = down(root, data.layers[entry[LAYER]]);
    if (groupsOf[entry[LAYER]].size > 1) place = down(place, data.groups[entry[GROUP]]);
    const short = entry[PATH].replace(/^venv\/lib\/python3\.[0-9]+\/site-packages\//, "");
    for (const part of short.split("/")) place = down(place, part);
    place.entry = entry;
    const [of, isFile] = [category(entry[PATH]), entry[KIND] === "file" || entry[KIND] === "executable"];
    place.mark = entry[MARK];
    for (let above = place; above; above = above.parent) {
      above.sums[SIZE] += entry[SIZE];
      above.sums[PACKED] += entry[PACKED];
      above.files += isFile;
      above.marked += entry[MARK] > 0;
      above.weights[of] += entry[SIZE];
    }
  }
  const colour = (item) => {
    const total = item.weights.reduce((sum, weight) => sum + weight, 0);
    const most = item.weights.indexOf(Math.max(...item.weights));
    return item.weights[most] >= 0.6 * total ? most : 5;
  };

  // Squarified treemap (Bruls, Huizing, van Wijk, 2000): rows of nodes whose rectangles are as square as can be.

  let measure = SIZE;
  const weight = (item) => item.sums[measure];
  const squarify = (items, x, y, width, height, place) => {
    let left = items.reduce((sum, item) => sum + weight(item), 0);
    let at = 0;
    while (at < items.length && left > 0 && width > 0 && height > 0) {
      const side = Math.min(width, height);
      const scale = (width * height) / left;
      const largest = weight(items[at]) * scale;
      let [end, sum, worst] = [at, 0, Infinity];
      while (end < items.length) {
        const next = weight(items[end]) * scale;
        const together = sum + next;
        const ratio = Math.max((side * side * largest) / (together * together), (together * together) / (side * side * next));
        if (ratio > worst) break;
        [worst, sum, end] = [ratio, together, end + 1];
      }
      const thickness = Math.min(sum / side, Math.max(width, height));
      let along = 0;
      for (; at < end; at += 1) {
        const length = (weight(items[at]) * scale) / thickness;
        if (width >= height) place(items[at], x, y + along, thickness, length);
        else place(items[at], x + along, y, length, thickness);
        along += length;
        left -= weight(items[at]);
      }
      if (width >= height) [x, width] = [x + thickness, width - thickness];
      else [y, height] = [y + thickness, height - thickness];
    }
  };
  // The children of a node, the largest first; those that would be too small to see come together as one.
  const children = (item, area, least) => {
    const sorted = [...item.below.values()].filter((child) => weight(child) > 0).sort((a, b) => weight(b) - weight(a));
    const total = sorted.reduce((sum, child) => sum + weight(child), 0);
    const seen = sorted.findIndex((child) => (weight(child) / total) * area < least);
    if (seen < 1 || sorted.length - seen < 2) return sorted;
    const rest = node(`${(sorted.length - seen).toLocaleString("en")} smaller`, item);
    for (const child of sorted.slice(seen)) {
      rest.below.set(child.name, child);
      rest.files += child.files;
      rest.marked += child.marked;
      child.sums.forEach((sum, index) => { rest.sums[index] += sum; });
      child.weights.forEach((sum, index) => { rest.weights[index] += sum; });
    }
    return [...sorted.slice(0, seen), rest];
  };

  // The map: a button for each child of the present node, and in it tiles for what it holds.

  const map = byId("map");
  let here = root;
  const put = (made, x, y, width, height) => {
    Object.assign(made.style, { left: `${x}px`, top: `${y}px`, width: `${width}px`, height: `${height}px` });
  };
  const marks = (item) => (item.marked ? `, ${count(item.marked, "change")}` : "");
  const marking = (item) => (item.marked ? `m${item.mark || 2}` : "");
  const sizes = (item) => `${bytes(item.sums[SIZE])} unpacked, ${bytes(item.sums[PACKED])} in the archive`;
  const told = (item) => (item.entry && !item.below.size
    ? `${item.entry[PATH]}: ${item.entry[KIND]}, ${sizes(item)}, layer ${data.layers[item.entry[LAYER]]}`
    : `${item.name}: ${count(item.files)}, ${sizes(item)}${marks(item)}`);
  const single = (item) => {
    let inner = item;
    while (inner.below.size === 1 && !inner.entry) [inner] = inner.below.values();
    return inner;
  };
  const go = (item, focus) => {
    const inner = single(item);
    if (inner.below.size) here = inner;
    draw();
    byId("told").textContent = told(inner.below.size ? here : inner);
    if (focus) (map.querySelector("button") || byId("crumbs").lastChild).focus();
  };
  const tiles = (cell, item, x, y, width, height) => {
    squarify(children(single(item), width * height, 140), x, y, width, height, (part, px, py, pw, ph) => {
      const inner = single(part);
      const opens = inner.below.size && pw > 26 && ph > 26;
      const hasText = pw > 46 && ph > 16;
      const tile = element("span", hasText ? part.name : "", `tile ${opens ? "" : `c${colour(part)} ${marking(part)}`}`);
      put(tile, px, py, pw, ph);
      cell.append(tile);
      if (opens) tiles(cell, inner, px + 2, py + (hasText ? 17 : 2), pw - 4, ph - (hasText ? 19 : 4));
    });
  };
  const draw = () => {
    const [width, height] = [map.clientWidth, map.clientHeight];
    map.replaceChildren();
    squarify(children(here, width * height, 220), 0, 0, width, height, (item, x, y, w, h) => {
      const cell = element("button", "", `cell ${item.below.size ? "" : `c${colour(item)} ${marking(item)}`}`);
      cell.type = "button";
      cell.setAttribute("aria-label", told(item));
      cell.title = told(item);
      put(cell, x, y, w, h);
      if (w > 40 && h > 22) {
        const label = element("b", `${item.name} `);
        label.append(element("i", bytes(weight(item))));
        cell.append(label);
      }
      if (item.below.size && w > 30 && h > 40) {
        tiles(cell, item, 3, 22, w - 8, h - 27);
      } else if (item.below.size) cell.className += ` c${colour(item)} ${marking(item)}`;
      cell.addEventListener("click", () => go(item, true));
      map.append(cell);
    });
    const crumbs = [];
    for (let above = here; above; above = above.parent) crumbs.unshift(above);
    byId("crumbs").replaceChildren(...crumbs.flatMap((above, index) => {
      const crumb = element("button", above.name);
      crumb.type = "button";
      if (above === here) crumb.setAttribute("aria-current", "true");
      crumb.addEventListener("click", () => go(above, true));
      return index ? [element("span", "›"), crumb] : [crumb];
    }));
  };
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.target.id === "search" || !here.parent) return;
    let above = here.parent;
    while (above.parent && above.below.size === 1) above = above.parent;
    go(above, true);
  });
  document.querySelectorAll("input[name=measure]").forEach((input) => {
    input.addEventListener("change", () => {
      measure = Number(input.value);
      draw();
    });
  });
  new ResizeObserver(draw).observe(map);
  const legend = CATEGORIES.map((name, index) => [name, `c${index}`]);
  if (data.difference) legend.push(["added", "m1"], ["changed", "m2"]);
  byId("legend").append(...legend.map(([name, className]) => {
    const line = element("li", name);
    line.prepend(element("span", "", className));
    return line;
  }));

  // The table: what matches all words of the search, a part of it at a time.

  const COLUMNS = [["Path", PATH], ["Package", GROUP], ["Layer", LAYER], ["Unpacked", SIZE], ["In the archive", PACKED]];
  const STEP = 200;
  const value = (entry, column) => {
    if (column === GROUP) return data.groups[entry[GROUP]];
    return column === LAYER ? data.layers[entry[LAYER]] : entry[column];
  };
  const texts = new Map(data.entries.map((entry) => [entry, `${entry[PATH]} ${value(entry, GROUP)} ${value(entry, LAYER)}`.toLowerCase()]));
  let [sorting, descending, shown, found] = [SIZE, true, STEP, []];
  const fill = () => {
    byId("rows").replaceChildren(...found.slice(0, shown).map((entry) => {
      const row = element("tr");
      for (const [, column] of COLUMNS) {
        const isSize = column === SIZE || column === PACKED;
        row.append(element("td", isSize ? bytes(entry[column]) : value(entry, column), isSize ? "number" : ""));
      }
      return row;
    }));
    byId("count").textContent = `${found.length.toLocaleString("en")} of ${data.entries.length.toLocaleString("en")}`;
    byId("more").hidden = found.length <= shown;
    byId("more").textContent = `Show more (${(found.length - shown).toLocaleString("en")} left)`;
  };
  const search = () => {
    const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const compare = (a, b) => {
      const [one, other] = [value(a, sorting), value(b, sorting)];
      return (one < other ? -1 : Number(one > other)) * (descending ? -1 : 1);
    };
    found = data.entries.filter((entry) => words.every((word) => texts.get(entry).includes(word))).sort(compare);
    shown = STEP;
    fill();
  };
  byId("heads").append(...COLUMNS.map(([title, column]) => {
    const head = element("th", "", column === SIZE || column === PACKED ? "number" : "");
    head.scope = "col";
    const button = element("button", title);
    button.type = "button";
    const state = () => {
      const up = descending ? "descending" : "ascending";
      [...byId("heads").children].forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up);
    };
    button.addEventListener("click", () => {
      [sorting, descending] = [column, sorting === column ? !descending : column === SIZE || column === PACKED];
      state();
      search();
    });
    if (column === sorting) head.setAttribute("aria-sort", "descending");
    head.append(button);
    return head;
  }));
  byId("search").addEventListener("input", search);
  byId("more").addEventListener("click", () => {
    shown += STEP;
    fill();
  });

  // What the capsule says of itself, and what changed.

  const { about, difference } = data;
  byId("name").textContent = `${about.name} ${about.version}`;
  byId("id").textContent = about.id;
  const facts = [
    ["Archive", `${about.file} (${bytes(about.size)})`],
    ["Unpacked", `${count(about.files)}, ${bytes(about.total_size)}`],
    ["Layers", data.layers.length.toLocaleString("en")],
    ["Entrypoint", about.entrypoint],
    ["Requirements", about.requirements || "none"],
    ["Built", about.build.time ? `${about.build.time} on ${about.build.host}` : "not stamped"],
    ["By", `${about.builder.name} ${about.builder.version}, level ${about.builder.compression_level}`],
  ];
  byId("facts").append(...facts.map(([term, text]) => {
    const pair = element("div");
    pair.append(element("dt", term), element("dd", text));
    return pair;
  }));
  const versions = (reason) => {
    const [old, next] = [reason.old_version, reason.new_version];
    if (old && next) return old === next ? `${reason.name} ${old}` : `${reason.name} ${old} → ${next}`;
    return old || next ? `${reason.name} ${old || next} ${old ? "removed" : "added"}` : reason.name;
  };
  const explain = (reason) => {
    const details = element("details");
    const summary = element("summary");
    summary.append(element("b", versions(reason)));
    for (const how of ["added", "removed", "changed"]) {
      if (reason[how]) summary.append(element("span", `${reason[how].toLocaleString("en")} ${how}`, how));
    }
    summary.append(element("span", growth(reason.growth)));
    details.append(summary);
    details.addEventListener("toggle", () => {
      if (details.children.length > 1) return;
      const list = element("ul");
      for (const [path, how, size] of reason.changes.slice(0, 1000)) {
        const line = element("li", `${path} `);
        line.append(element("span", how, how === "added" || how === "removed" ? how : "changed"), ` ${growth(size)}`);
        list.append(line);
      }
      if (reason.changes.length > 1000) list.append(element("li", `… and ${(reason.changes.length - 1000).toLocaleString("en")} more`));
      details.append(list);
    });
    return details;
  };
  const keys = (title, changed) => {
    const list = element("ul");
    const text = (given) => (given === null ? "not stated" : JSON.stringify(given));
    list.append(...changed.map((key) => element("li", `${key.key}: ${text(key.old)} → ${text(key.new)}`)));
    return changed.length ? [element("h3", title), list] : [];
  };
  if (difference) {
    byId("changes").hidden = false;
    byId("sides").textContent = difference.same
      ? `Nothing that counts: ${difference.old.file} has the same ID.`
      : `From ${difference.old.id} (${difference.old.file}) to ${difference.new.id}`;
    byId("reasons").append(...difference.reasons.map(explain));
    byId("keys").append(...keys("Keys of the manifest", difference.manifest), ...keys("Does not count for the ID", difference.facts));
    byId("reasons").querySelectorAll("details").forEach((details, _, all) => { details.open = all.length === 1; });
  }
  search();
  go(root, false);
})();
