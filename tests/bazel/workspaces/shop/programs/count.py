from programs.lib.numbers import NUMBERS

print(len(NUMBERS), "numbers")
