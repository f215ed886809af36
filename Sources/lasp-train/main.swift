print("lasp-train")
