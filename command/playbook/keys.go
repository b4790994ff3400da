package playbook

// File is a playbook.
type File struct {
	Name   string    `key:"name" help:"what it is called in reports; the name of the file, unless it is given"`
	About  string    `key:"about" help:"what it shows, for readers"`
	Server Text      `key:"server" help:"the address of the server, as --server takes it, which is stronger"`
	Vars   Map[Var]  `key:"vars" help:"variables, each with what it is unless somebody says otherwise"`
	Users  Map[User] `key:"users,required" help:"who takes part, by the names that steps call them by"`
	Steps  []Step    `key:"steps,required" help:"what is done, one after the other; what fails ends it"`
	Always []Step    `key:"always" help:"what is done at the end whatever happened, each step even where another failed"`
}

// Var is a variable. Its value comes from --set, the environment (QPQ_VAR_ and its name), a file or the playbook, the first of them that has it.
type Var struct {
	At     Position
	Value  Value  `key:"value,short" help:"what it is, unless somebody says otherwise; without one it has to be given"`
	File   Text   `key:"file" help:"a file whose first line it is"`
	Secret bool   `key:"secret" help:"its value is never shown, and not taken from --set, which others can see"`
	Help   string `key:"help" help:"what it is for"`
}

// User is somebody who takes part, on one device.
type User struct {
	At           Position
	Profile      string `key:"profile" help:"the profile to use, as --profile takes it; without one it is a temporary one that is removed at the end"`
	Account      Text   `key:"account" help:"the name of the account: name, or name@domain; what steps call them by, unless it is given"`
	Device       Text   `key:"device" help:"what to call the device; what steps call them by, unless it is given"`
	Register     bool   `key:"register" help:"sign up when the profile is used first, unless somebody is signed in there"`
	Login        bool   `key:"login" help:"make the profile a device of an account that exists when it is used first, unless somebody is signed in there"`
	Of           string `key:"of" help:"another device of the account of this user: it logs in with the password of that one"`
	Password     *Text  `key:"password" help:"the password; as a rule a secret variable. A random one, unless it is given"`
	PasswordFile *Text  `key:"password_file" help:"a file whose first line is the password"`
	Count        Number `key:"count" help:"so many users alike, whose names have a number at the end, from 1"`
}

// Step is one thing to do, or several.
type Step struct {
	At   Position
	Name Text       `key:"name" help:"what it is called in reports"`
	If   *Condition `key:"if" help:"do it only if this is so"`
	As   Text       `key:"as" help:"who does it; steps within it take it over"`

	Run      *Line  `key:"run" help:"a command as at the command line, without the name of the program"`
	Command  string `key:"command" help:"the name of a command, whose arguments are in args"`
	Set      Values `key:"set" help:"variables to set"`
	Steps    []Step `key:"steps" help:"steps to do one after the other"`
	Parallel []Step `key:"parallel" help:"steps to do at the same time; where one fails the others are given up"`

	Args    Values       `key:"args" help:"arguments of the command, by the names of its parameters"`
	Input   *Text        `key:"input" help:"the text that the command reads from standard input where it is not an argument"`
	Answers Map[Text]    `key:"answers" help:"what to answer to questions of the command, by their names; passwords of users are known without"`
	Needs   []string     `key:"needs" help:"variables to wait for, which another step sets at the same time"`
	Expect  []Check      `key:"expect,one" help:"what has to be so with the result"`
	Capture Map[Capture] `key:"capture" help:"variables to set from the result, each with the path of its value"`
	Within  Duration     `key:"within" help:"do it again, whenever there is news, until what is expected is so, at most so long"`
	Timeout Duration     `key:"timeout" help:"give up after so long; 1m unless it is given"`

	Repeat Number   `key:"repeat" help:"do it so many times; ${n} counts from 1"`
	Each   Values   `key:"each" help:"do it for each value of a list, which the variable of this name then has; ${n} counts from 1"`
	Rate   Rate     `key:"rate" help:"begin it so often, as 20/s or 300/m, whether or not what began before has ended"`
	For    Duration `key:"for" help:"how long to go on beginning it at the rate"`
	Limit  Number   `key:"limit" help:"how many may go on at the same time; 16 unless it is given, and 64 with a rate"`
}

// Values are values by their names.
type Values = Map[Value]

// Check is something that has to be so.
type Check struct {
	At       Position
	Path     Path    `key:"path" help:"what of the result is looked at; all of it, unless it is given"`
	Equals   *Value  `key:"equals" help:"it is this"`
	Differs  *Value  `key:"differs" help:"it is not this"`
	Contains *Value  `key:"contains" help:"it is a text with this in it, or a list that has this"`
	Lacks    *Value  `key:"lacks" help:"it is a text without this in it, or a list that does not have this"`
	Matches  Pattern `key:"matches" help:"it is a text that this regular expression fits somewhere, or a list that has one"`
	Count    Number  `key:"count" help:"it is a list of so many, a text of so many characters, or nothing where that is 0"`
	AtLeast  Number  `key:"at_least" help:"it is a number of at least this, or a list of at least so many"`
	AtMost   Number  `key:"at_most" help:"it is a number of at most this, or a list of at most so many"`
	Fails    *Text   `key:"fails" help:"the command fails, with an error of this kind or code"`
}

// Capture is what a variable is set from.
type Capture struct {
	At     Position
	Path   Path `key:"path,short,required" help:"where the value is in the result; where it begins with shown, it is set as soon as that is shown"`
	Secret bool `key:"secret" help:"the value is never shown"`
}

// actions are the keys of a step that say what it does: it has one of them.
var actions = []string{"run", "command", "set", "steps", "parallel"}
