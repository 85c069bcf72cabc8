"""What happened: events of this process, and changes of best paths, for as long as there is room.

``event_journal`` keeps both in the order of their ids. Nothing here knows who reads.
"""
