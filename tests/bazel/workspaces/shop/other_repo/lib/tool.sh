#!/bin/sh
cat "$0.runfiles/other/lib/words.txt"
