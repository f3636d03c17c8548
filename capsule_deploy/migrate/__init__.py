"""``caps_migrate``: from a service that was set up by hand to a manifest, an ignore file and a report.

The data goes one way. *systemd*, *supervisor* and *cron* read what starts the old service and give its processes;
*shell* does so for the scripts between; *command* finds out what of the application each process runs; *survey* looks
through the directory; *places* says where each path of the old host is in a capsule; *draft* writes the manifest, and
*report* what became of every line. Nothing of the original is changed, imported or run.
"""
