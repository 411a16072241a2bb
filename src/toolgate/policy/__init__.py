"""Rules in, decision out: pure, but for `load`, which reads the operator's folder."""
