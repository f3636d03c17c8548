"""The host's side: installs capsules on a plain Linux host and lets systemd run them (``docs/deploy.md``)."""
