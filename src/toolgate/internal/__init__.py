"""The tools of our own service: `service` is the application, `opening` what it stands on. The rest is one file a task."""
