"""Names of Azure's SDKs that scripts import and hardly use: they can be imported, and say what is missing when used."""


def make_absent(package, name):
    """A class that refuses to be made, called or asked for anything, with the way out."""
    words = "%s.%s is not part of Tidemill's stand-in; install the real package in the environment" % (package, name)

    class Absent(type):
        def __call__(cls, *args, **kwargs):
            raise NotImplementedError(words)

        def __getattr__(cls, attribute):
            if attribute.startswith("__"):
                raise AttributeError(attribute)
            raise NotImplementedError(words)

    return Absent(name, (), {"__module__": package, "__doc__": words})
