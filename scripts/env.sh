# The environment in which the installed node, rclpy and our interfaces work. From bash: . scripts/env.sh
# Sourcing it again changes nothing: r2r regenerates its bindings when one of these values changes.
# Already set by you and then left alone: ROS_DOMAIN_ID, ROS_AUTOMATIC_DISCOVERY_RANGE, RMW_IMPLEMENTATION,
# FASTRTPS_DEFAULT_PROFILES_FILE. To talk to other machines: ROS_AUTOMATIC_DISCOVERY_RANGE=SUBNET before sourcing.

# Put a folder first in a colon-separated variable, unless it is in there.
_cooper_prefix() {
  [[ ":${!1:-}:" == *":$2:"* ]] || export "$1=$2${!1:+:${!1}}"
}

# The folder of AMENT_PREFIX_PATH that is a venv of ours, whichever clone made it.
_cooper_wheels_in_use() {
  local folder
  for folder in ${AMENT_PREFIX_PATH//:/ }; do
    [[ -e $folder/.cooper_wheels ]] && return
  done
  return 1
}

_cooper_env() {
  local root install wheels distro folder
  root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
  install=$root/install
  wheels=$root/.ros2

  # A sourced ROS 2 first, else an installed one, else the wheels that scripts/setup has put into .ros2.
  if [[ -z ${ROS_DISTRO:-} || -z ${AMENT_PREFIX_PATH:-} ]] || _cooper_wheels_in_use; then
    for distro in jazzy humble wheels; do
      [[ -e /opt/ros/$distro/setup.bash ]] && break
    done
    if [[ $distro != wheels ]]; then
      unset AMENT_PREFIX_PATH CMAKE_PREFIX_PATH
      local restore=$- # ROS's own scripts use unset variables.
      set +u
      . "/opt/ros/$distro/setup.bash"
      [[ $restore == *u* ]] && set -u
    elif [[ -e $wheels/.cooper_wheels ]]; then
      export ROS_DISTRO=jazzy ROS_VERSION=2 ROS_PYTHON_VERSION=3 RMW_IMPLEMENTATION=rmw_fastrtps_cpp
      export AMENT_PREFIX_PATH=$install:$wheels CMAKE_PREFIX_PATH=$install:$wheels
      _cooper_prefix LD_LIBRARY_PATH "$wheels/lib"
      _cooper_prefix PATH "$wheels/bin"
      # Only there when the system has no libclang for bindgen. It comes without the compiler's own headers.
      for folder in "$wheels"/lib/python3*/site-packages/clang/native; do
        [[ -d $folder ]] || continue
        export LIBCLANG_PATH=$folder BINDGEN_EXTRA_CLANG_ARGS="-I$(gcc -print-file-name=include)"
      done
    else
      echo "env.sh: no ROS 2 sourced, in /opt/ros or in $wheels: run scripts/setup first" >&2
      return 1
    fi
  fi
  _cooper_prefix AMENT_PREFIX_PATH "$install"
  _cooper_prefix CMAKE_PREFIX_PATH "$install"
  _cooper_prefix LD_LIBRARY_PATH "$install/lib"
  for folder in "$install"/{,local/}lib/python3*/{site,dist}-packages; do
    [[ -d $folder ]] && _cooper_prefix PYTHONPATH "$folder"
  done

  # All packages whose messages the node uses, nested ones too: r2r resolves no dependencies. The last entry names no
  # package; it changes with our installed interfaces, since r2r looks at the filter but not at the files.
  local idl_packages interfaces
  idl_packages="action_msgs builtin_interfaces cooper_perception diagnostic_msgs geometry_msgs rcl_interfaces rosgraph_msgs sensor_msgs service_msgs std_msgs std_srvs unique_identifier_msgs vision_msgs visualization_msgs"
  interfaces=$(cat "$install"/share/cooper_perception/{msg,srv,action}/*.idl 2>/dev/null | sha256sum || true)
  export IDL_PACKAGE_FILTER="${idl_packages// /;};${interfaces%% *}"

  # One machine, unless you say otherwise.
  export ROS_DOMAIN_ID=${ROS_DOMAIN_ID:-0}
  export ROS_AUTOMATIC_DISCOVERY_RANGE=${ROS_AUTOMATIC_DISCOVERY_RANGE:-LOCALHOST}
  if [[ $ROS_AUTOMATIC_DISCOVERY_RANGE == LOCALHOST ]]; then
    export FASTRTPS_DEFAULT_PROFILES_FILE=${FASTRTPS_DEFAULT_PROFILES_FILE:-$root/config/fastdds.xml}
  fi
  return 0
}

_cooper_env
# The last command's status is that of `. scripts/env.sh`.
_cooper_status=$?
unset -f _cooper_env _cooper_prefix _cooper_wheels_in_use
[[ $_cooper_status == 0 ]]
