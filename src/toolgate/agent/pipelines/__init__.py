"""Work that follows a plan of ours, with a model where understanding is needed: each a `Provider` that runs as any model would.

So a pipeline has all that the agent has: the gate, budgets, a person's yes, and going on where it stopped.
"""
