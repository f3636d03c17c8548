#!/bin/sh
cd "$0.runfiles" || exit 1
cat shop/programs/greeting.txt shop/programs/tree/two.txt other/lib/words.txt
