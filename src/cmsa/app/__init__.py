"""The page: a picture at any resolution, what the network sees of it and says of it, and where it looks.

``page`` lays it out with Gradio and ``serve`` runs it; everything else here works without. A tab is a line in
``tabs.TABS``.
"""
