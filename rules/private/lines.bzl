"""The lines of the builder's params file, which are fields with tabs between them: nothing else may hold a tab or a line break."""

_ESCAPES = {
    "\t": "\\t",
    "\n": "\\n",
    "\r": "\\r",
}

def _escaped(text):
    for character, escape in _ESCAPES.items():
        text = text.replace(character, escape)
    return text

def file_line(verb, path, *places):
    """Gives the line for one file.

    Args:
      verb: the first word of the line.
      path: the path of the file.
      *places: the fields that follow.

    Returns:
      The line; or, when a field cannot stand in one, the line with which the builder refuses that name.
    """
    for field in (path,) + places:
        if "\t" in field or "\n" in field or "\r" in field:  # Bazel breaks lines for workers at each of the latter
            return "unfit\t" + _escaped(field)
    return "\t".join((verb, path) + places)

def check_attribute(attribute, values):
    """Fails when what a user wrote cannot stand in a line.

    Args:
      attribute: the name of the attribute.
      values: the strings in it.
    """
    for value in values:
        if _escaped(value) != value:
            fail("%s: \"%s\" holds a tab or a line break, and nothing in a capsule may have such a name. Leave it out." % (
                attribute,
                _escaped(value),
            ))
