"""The statistics that a style can be: one file each, and whole there.  `finish` knows them all.

A statistic is a class; what it holds of one painting at one layer is a *style*:

    collect      a painting's (features, mask) -> what is kept of them; that of tiles adds up by +
    blend        what several paintings have, and each one's share -> the same of all
    of           that, and the recipe -> the style, to compare images with

    measure      the image's (features, mask) -> sums over pixels; those of tiles add up by +
    compare      sums -> (loss, d_sums)
    spread       (d_sums, features, mask) -> d_features

    drawn        chance, and the layer's (C, H, W) -> the style for one evaluation
    mean_square  what the loss is divided by where a recipe is relative
    within       a tile -> the style that the tile's own features are compared with
    knobs        the fields of a recipe that it makes use of

Where what is collected are sums over pixels, `sums.SumStyle` has collect, blend and within.

Nothing outside of a statistic's file asks which one it is.  To add one: write the file, and name
it in ``finish.STATISTICS``.
"""
