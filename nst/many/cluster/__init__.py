"""More machines: Dask's workers paint the pictures of a batch, and see the tiles of a poster."""
