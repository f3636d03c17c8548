"""``caps_migrate``: from a service that was set up by hand to a manifest, an ignore file and a report.

The data goes one way. *systemd*, *supervisor*, *cron* and *scripts* read what starts the old service and give its
processes; *shell* does so for the scripts between; *launch* finds out what of the application each process runs;
*survey* looks through the directory; *places* says where each path of the old host is in a capsule; *draft* writes the
manifest (*resources* and *sandbox* say what bounds a release), *leaving_out* the ignore file, *report* what became of
every line, and *steps* what is to be done next. *migration* calls them in this order. Nothing of the original is
changed, imported or run.
"""
