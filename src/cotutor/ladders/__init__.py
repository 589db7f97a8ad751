"""The ladders that come with the package, as YAML files (:mod:`cotutor.climb`)."""
