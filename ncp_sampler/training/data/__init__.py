"""Real digits that a package ships, and street scenes from a seeded generator."""
