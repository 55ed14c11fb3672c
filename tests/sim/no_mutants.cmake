# Looks into the programs for what only a build with switchable mutants contains.
string(REPLACE "," ";" programs "${PROGRAMS}")
foreach(program IN LISTS programs)
  file(STRINGS "${program}" found REGEX "chosen_mutant|ack_before_journal" LIMIT_COUNT 1)
  if(found)
    message(FATAL_ERROR "${program} contains a mutant: ${found}")
  endif()
endforeach()
