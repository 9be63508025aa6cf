"""Two sides that should agree: what does, what breaks, why, and how much money is at risk, by written rules."""
