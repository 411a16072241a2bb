"""The one guarded way out for every outbound request of the program."""
