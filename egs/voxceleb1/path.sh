# shellcheck shell=bash source=../../path.sh
. ../../path.sh
