"""
What one value of the TOML may be, and how it is read: names, times, sizes, URLs, networks, texts. Each knows only itself.
"""
