#!/bin/sh
echo "hello from $(dirname "$0")"
