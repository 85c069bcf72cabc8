"""Where cluster state comes from: etcd, a folder of manifests, or memory.

All speak Calico's key layout and provide one stream of events (``model.Datastore``); its reader
does not know which one it is. ``model.Writer`` is for labs, tests and tools.
"""
