"""What this node shall be, from configuration and datastore, and the way there."""
