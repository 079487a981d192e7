"""One architecture for several tasks: studies whose objectives are the tasks."""
