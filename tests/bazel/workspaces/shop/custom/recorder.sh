#!/bin/bash
# Copies its one params file, "@path", into every output: the lines after the options that name outputs.
params=${1#@}
while read -r option; do
    case $option in
        --fragment | --contents | --index | --archive | --id | --metadata | --listing | --file-name)
            read -r output
            /bin/cp "$params" "$output"
            ;;
    esac
done <"$params"
