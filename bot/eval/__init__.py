"""`bot eval`: how well the bot finds and answers, on a public set or an operator's own questions, by its own code."""
