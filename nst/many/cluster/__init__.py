"""More machines: Dask's workers paint pictures and scenes of films, and see tiles of a poster."""
