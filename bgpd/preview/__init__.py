"""What other settings would do to sessions and routes, worked out beside what runs.

Nothing here changes the daemon. ``Wanted`` says what there would be; ``ChangePreview`` finds the
sessions concerned and makes the routes' future on tables of its own.
"""
