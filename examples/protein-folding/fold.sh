#!/bin/sh
# What a task of the example does, in the container of a host:
#
#   fold.sh prepare               the chain of /in/chain.pdb, its force field, at its nearest minimum
#   fold.sh segment SEED UNTIL    simulates on, to UNTIL picoseconds
#   fold.sh analyse               whether the trajectory is whole, and how large the molecule is in it
set -eu
cd /tmp

gmx() {
  command gmx -quiet -nobackup "$@" || { echo "gmx $1 failed" >&2; return 1; }
}

# Only the end is of interest, and only when something goes wrong.
quietly() {
  "$@" > /tmp/said 2>&1 || { tail -n 30 /tmp/said >&2; return 1; }
}

# In vacuum, in a box that nothing reaches across.
common() {
  cat << EOF
cutoff-scheme = Verlet
rlist = 2.5
coulombtype = Cut-off
rcoulomb = 2.5
rvdw = 2.5
EOF
}

case $1 in
prepare)
  mkdir /out/system
  quietly gmx pdb2gmx -f /in/chain.pdb -o chain.gro -p /out/system/topol.top -i posre.itp \
    -ff amber99sb-ildn -water none -ignh
  quietly gmx editconf -f chain.gro -o boxed.gro -box 8 8 8 -c
  { common; echo 'integrator = steep'; echo 'nsteps = 500'; echo 'emtol = 10'; } > min.mdp
  quietly gmx grompp -f min.mdp -c boxed.gro -p /out/system/topol.top -o min.tpr
  quietly gmx mdrun -deffnm min -nt 1
  mv min.gro /out/system/start.gro
  ;;
segment)
  seed=$2 until=$3
  # What a checkpoint has brought is there already; else it begins where the segment before has ended.
  if [ ! -d /out/run ]; then
    mkdir -p /out/.run
    if [ -d /in/before ]; then
      cp /in/before/* /out/.run/
      chmod u+w /out/.run/*
    else
      {
        common
        cat << EOF
integrator = sd
dt = 0.002
tc-grps = System
tau-t = 1.0
ref-t = 300
gen-vel = yes
gen-temp = 300
gen-seed = $seed
ld-seed = $seed
constraints = h-bonds
nstxout-compressed = 500
nstenergy = 500
nstlog = 5000
EOF
      } > sd.mdp
      quietly gmx grompp -f sd.mdp -c /in/system/start.gro -p /in/system/topol.top -o /out/.run/run.tpr
    fi
    # In one step: a checkpoint has all of it or nothing.
    mv /out/.run /out/run
  fi
  cd /out/run
  at=0 append=
  if [ -e run.cpt ]; then
    at=$(gmx dump -cp run.cpt 2> /dev/null | sed -n 's/^t = //p')
    append='-cpi run.cpt -append'
  fi
  echo "goes on at $at ps"
  quietly gmx convert-tpr -s run.tpr -until "$until" -o /tmp/segment.tpr
  # shellcheck disable=SC2086 -- two options or none
  quietly gmx mdrun -s /tmp/segment.tpr -deffnm run $append -cpt 0.02 -nt 1 -pin off
  ;;
analyse)
  gmx check -f /in/run/run.xtc > /out/check.txt 2>&1
  echo Protein | quietly gmx gyrate -s /in/run/run.tpr -f /in/run/run.xtc -o /out/radius.xvg
  ;;
*)
  echo "prepare, segment or analyse, not $1" >&2
  exit 2
  ;;
esac
