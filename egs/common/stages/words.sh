# What an acoustic-to-word recogniser (egs/librispeech, egs/tedlium2) makes of an emotion corpus, for S4.
#
# They read the options recogniser, protocol and gpu, and data.
# shellcheck shell=bash disable=SC2034,SC2154

# word_inputs: set folds, cuts and inputs of S4's trainings, and recognised (where the transcripts are)
word_inputs() {
  name_folds
  cuts=$data/fbank/cuts.jsonl.gz
  inputs=() from=
  if [ -n "$recogniser" ]; then
    from=_from_$(experiment_name "$recogniser")
    recognised=$data/a2w/${from#_from_}
    inputs=(--recogniser "$recogniser/checkpoint" --transcripts "$recognised/transcripts.csv")
  fi
}

recognise_words() {
  if [ -n "$recogniser" ] && [ -d "$recogniser/checkpoint" ]; then
    config s4/decode_a2w
    $cuda_cmd --gpu "$gpu" "$data/log/decode_a2w$from.log" decode_a2w.py "${config[@]}" \
      "$recogniser/checkpoint" "$cuts" "$recognised"
  else
    echo "no words are recognised: there is no ${recogniser:---recogniser}${recogniser:+/checkpoint};" \
      "s4_audio, s4_text and s4_combined need none"
  fi
}
