import os

with open(os.path.join(os.path.dirname(__file__), "numbers.txt")) as file:
    NUMBERS = file.read().split()
