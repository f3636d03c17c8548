"""Every figure that the README states comes out of here (``./dev bench``).

``inputs`` makes what is packed, ``peers`` knows who else packs it, ``measure`` lets them take turns, each module of
``cases`` asks one question, and ``report`` writes down what came out, beside the targets that were set before.
"""
