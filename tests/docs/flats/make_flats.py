"""Write flats.csv to train on, and new.csv to predict, whose column `id` nothing was trained on."""

import random

random.seed(0)
with open("flats.csv", "w", encoding="utf-8") as file:
    file.write("area,rooms,city,price\n")
    for _ in range(60):
        area, rooms = random.randint(30, 120), random.randint(1, 5)
        city = random.choice(["Ulm", "Bonn", "Köln"])
        file.write(f"{area},{rooms},{city},{2_000 * area + 9_000 * rooms + random.randint(0, 20_000)}\n")
with open("new.csv", "w", encoding="utf-8") as file:
    file.write("id,area,rooms,city\n1,70,2,Ulm\n2,110,3,Bonn\n")
