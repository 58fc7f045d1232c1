# run.sh --submit: each stage as a job of Slurm (part of recipe.sh).
# shellcheck shell=bash disable=SC2034,SC2154  # variables of recipe.sh

# recipe_submit: hand each selected stage to $submit_cmd as a job that starts when the one before has ended
# well.  Such a job runs this script for one stage; where $train_cmd is Slurm's it only waits for the jobs
# of that stage, and holds what $submit_cmd asks for (a core, little memory) meanwhile.
recipe_submit() {
  local i number title id previous='' waits='' log folder start=$0
  local -a ids=()
  printf -v folder 'exp/log/submit-%(%Y%m%d-%H%M%S)T-%d' -1 $$
  [[ $start == */* ]] || start="bash $start"
  mkdir -p "$folder"
  recipe_identify
  for i in "${!recipe_stage_numbers[@]}"; do
    number=${recipe_stage_numbers[i]} title=${recipe_stage_titles[i]}
    if ((number < stage || number > stop_stage)); then continue; fi
    log=$folder/stage.$number.log
    # shellcheck disable=SC2086  # $submit_cmd is several words
    if ! id=$(
      RECIPE_GO_ON="$start --stage $number$(printf ' %q' ${recipe_given[@]+"${recipe_given[@]}"} --submit)"
      export RECIPE_GO_ON
      ${submit_cmd:-launch.py slurm} --detach ${previous:+--after "$previous"} "$log" \
        bash "$recipe_file" ${recipe_given[@]+"${recipe_given[@]}"} --stage "$number" --stop-stage "$number"
    ); then
      if [ ${#ids[@]} -gt 0 ]; then scancel "${ids[@]}" || true; fi
      recipe_error "stage $number ($title) could not be handed over${ids[0]:+; those before it are cancelled}"
    fi
    # the job has not begun, for the one before it has not ended; its log begins anew when it does
    if [ -n "$previous" ] && [ ! -s "$log" ]; then
      printf '# Slurm job %s: %s\n# Starts when %s.\n# If that fails, Slurm cancels this job, and these lines stay.\n' \
        "$id" "stage $number ($title)" "$waits" >> "$log"
    fi
    recipe_quote "$title"
    recipe_event submit "\"script\":\"$recipe_name\",\"options\":[$recipe_options],\"stage\":$number,\"title\":$recipe_json,\"slurm_job\":\"$id\""
    ids+=("$id")
    previous=$id
    waits="stage $number, job $id, has ended well ($log)"
    echo "stage $number ($title): Slurm job $id, log $log"
  done
  recipe_state=finished
  echo "look:   squeue --jobs=$(IFS=, && echo "${ids[*]}")"
  echo "cancel: scancel ${ids[*]}"
}
