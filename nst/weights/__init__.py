"""Where networks come from: sources, their download, what files hold them, and installing one.

It knows the network's architecture and its model file, `nst.vgg.weights`; nothing of pictures.
"""
