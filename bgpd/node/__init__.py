"""What this node must be, from configuration and datastore, and how it gets there."""
