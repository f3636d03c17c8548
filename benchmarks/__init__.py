"""Every figure that the README states comes out of here (``./dev bench``)."""
