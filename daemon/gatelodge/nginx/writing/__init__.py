"""
What a tree says: from what is desired and held to the text of every file. Pure: the same values give the same text.

`quote` writes directives, `ground` is what all sites stand on, `site` and `stream` write one each, `location` one route, and
`render` puts the tree together.
"""
