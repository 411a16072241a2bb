"""MCP servers behind the gate: found, held, spoken to in their era, and believed in nothing that costs anybody else."""
