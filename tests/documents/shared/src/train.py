print("fits a line")
