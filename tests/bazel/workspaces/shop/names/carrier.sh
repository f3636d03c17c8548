#!/bin/sh
echo carried
