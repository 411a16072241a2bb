"""Language models: one interface to many providers, what they cost, and which of them to ask."""
