"""What executors and targets on Azure have in common: the login, the workspace's REST interface, its storage."""
