"""The way of routes: from UPDATEs and local sources into the tables, and out to peers."""
