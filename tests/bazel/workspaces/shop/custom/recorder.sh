#!/bin/bash
# Copies its one params file, "@path", into every output: the lines after the options that name outputs.
params=${1#@}
read -r verb <"$params"
while read -r option; do
    case $option in
        --fragment | --contents | --index | --archive | --id | --output | --metadata | --listing | --file-name)
            read -r output
            /bin/cp "$params" "$output"
            ;;
        --facts) # an output of one action, and an input of another
            read -r output
            [ "$verb" != wheel ] || /bin/cp "$params" "$output"
            ;;
    esac
done <"$params"
