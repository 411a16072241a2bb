"""The agent: a model that calls tools through the gate, within budgets, and can be taken up again where it stopped."""
