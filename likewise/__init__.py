"""Train one declared job in several sides, and learn whether they agree, by how much, and why not."""
